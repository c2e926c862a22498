/* Filters of the wire -> filters of the database. */
#include "api/grpc_int.h"
#include "contract/weaviate.pb-c.h"

#define DEPTH_MAX 64 /* nested operators; the recursion here is as deep */

typedef Weaviate__V1__Filters filters;

static const struct {
    Weaviate__V1__Filters__Operator wire;
    enum sl_db_op op;
} operators[] = {
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_EQUAL, SL_DB_EQUAL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_NOT_EQUAL, SL_DB_NOT_EQUAL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_GREATER_THAN, SL_DB_GREATER},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_GREATER_THAN_EQUAL, SL_DB_GREATER_EQUAL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_LESS_THAN, SL_DB_LESS},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_LESS_THAN_EQUAL, SL_DB_LESS_EQUAL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_AND, SL_DB_AND},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_OR, SL_DB_OR},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_NOT, SL_DB_NOT},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_LIKE, SL_DB_LIKE},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_IS_NULL, SL_DB_IS_NULL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_CONTAINS_ANY, SL_DB_CONTAINS_ANY},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_CONTAINS_ALL, SL_DB_CONTAINS_ALL},
    {WEAVIATE__V1__FILTERS__OPERATOR__OPERATOR_CONTAINS_NONE, SL_DB_CONTAINS_NONE},
};

static sl_rc operator_of(const filters *from, enum sl_db_op *ret, struct sl_err *err)
{
    for (size_t i = 0; i < SL_COUNT_OF(operators); i++) {
        if (operators[i].wire == from->operator_) {
            *ret = operators[i].op;
            return SL_OK;
        }
    }
    return SL_FAIL(err, SL_EUNSUPPORTED,
                   "filter operator %d is not done here; comparisons, Like, IsNull, Contains, And, "
                   "Or and Not are",
                   (int)from->operator_);
}

static struct sl_db_value text_value(ProtobufCBinaryData b)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_TEXT, .text = {(const char *)b.data, b.len}};
}

static struct sl_db_value number_value(double n)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_NUMBER, .number = n};
}

static struct sl_db_value boolean_value(bool b)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_BOOLEAN, .boolean = b};
}

static size_t count_values(const filters *from)
{
    switch (from->test_value_case) {
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_TEXT_ARRAY:
        return from->value_text_array->n_values;
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_INT_ARRAY:
        return from->value_int_array->n_values;
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_BOOLEAN_ARRAY:
        return from->value_boolean_array->n_values;
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_NUMBER_ARRAY:
        return from->value_number_array->n_values;
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_TEXT:
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_INT:
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_BOOLEAN:
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_NUMBER:
        return 1;
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_GEO:
    case WEAVIATE__V1__FILTERS__TEST_VALUE__NOT_SET:
    case _WEAVIATE__V1__FILTERS__TEST_VALUE__CASE_IS_INT_SIZE:
        break;
    }
    return 0;
}

static struct sl_db_value value_at(const filters *from, size_t i)
{
    switch (from->test_value_case) {
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_TEXT_ARRAY:
        return text_value(from->value_text_array->values[i]);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_INT_ARRAY:
        return number_value((double)from->value_int_array->values[i]);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_BOOLEAN_ARRAY:
        return boolean_value(from->value_boolean_array->values[i]);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_NUMBER_ARRAY:
        return number_value(from->value_number_array->values[i]);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_TEXT:
        return text_value(from->value_text);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_INT:
        return number_value((double)from->value_int);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_NUMBER:
        return number_value(from->value_number);
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_BOOLEAN:
    case WEAVIATE__V1__FILTERS__TEST_VALUE_VALUE_GEO:
    case WEAVIATE__V1__FILTERS__TEST_VALUE__NOT_SET:
    case _WEAVIATE__V1__FILTERS__TEST_VALUE__CASE_IS_INT_SIZE:
        break;
    }
    return boolean_value(from->value_boolean);
}

static sl_rc take_leaf(struct sl_arena *arena, const filters *from, struct sl_db_filter *ret,
                       struct sl_err *err)
{
    bool is_property = from->target != NULL &&
                       from->target->target_case == WEAVIATE__V1__FILTER_TARGET__TARGET_PROPERTY;
    const char *name = is_property ? from->target->property : from->n_on == 1 ? from->on[0] : NULL;
    if (name == NULL) {
        return SL_FAIL(err, SL_EUNSUPPORTED,
                       "filters through references are not done here; filter on a property of the "
                       "collection itself");
    }
    size_t count = count_values(from);
    struct sl_db_value *values = sl_arena_array(arena, struct sl_db_value, count + 1);
    if (values == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = value_at(from, i);
    }
    ret->property = sl_str_from(name);
    ret->values = values;
    ret->value_count = (uint32_t)count;
    return SL_OK;
}

static sl_rc take(struct sl_arena *arena, const filters *from, uint32_t depth,
                  struct sl_db_filter *ret, struct sl_err *err)
{
    *ret = (struct sl_db_filter){0};
    SL_TRY(operator_of(from, &ret->op, err));
    if (ret->op != SL_DB_AND && ret->op != SL_DB_OR && ret->op != SL_DB_NOT) {
        return take_leaf(arena, from, ret, err);
    }
    if (depth == DEPTH_MAX) {
        return SL_FAIL(err, SL_EINVAL, "the filter is nested deeper than %d levels", DEPTH_MAX);
    }
    struct sl_db_filter *children = sl_arena_array(arena, struct sl_db_filter, from->n_filters + 1);
    if (children == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < from->n_filters; i++) {
        SL_TRY(take(arena, from->filters[i], depth + 1, &children[i], err));
    }
    ret->children = children;
    ret->child_count = (uint32_t)from->n_filters;
    return SL_OK;
}

sl_rc sli_rpc_filter(struct sl_arena *arena, const struct Weaviate__V1__Filters *from,
                     struct sl_db_filter *ret, struct sl_err *err)
{
    return take(arena, from, 0, ret, err);
}
