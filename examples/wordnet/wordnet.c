/* sluice-wordnet DICT OUT: WordNet's data.* files -> JSON lines for `sluice load`.
 *
 * Writes OUT/synset.jsonl (one object per synset, all property types, a 384-d vector) and
 * OUT/word-{noun,verb,adj,adv}.jsonl (one object per word sense, for the tenants of `Word`). Ids
 * are derived from part of speech and offset, so relations can name their targets and two runs give
 * equal files. The vector hashes the words, pairs and triples of the gloss into 384 signed buckets
 * and is normalised: no model is needed, and near glosses still get near vectors. Source of the
 * format: wndb(5WN), "Data File Format". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"
#include "base/str.h"

#define DIMS            384
#define GRAM_WORDS      3 /* single words, pairs and triples */
#define TOKENS_MAX      512
#define LINE_FIELDS_MAX 4096

/* lexnames(5WN): the 45 lexicographer files by number. */
static const char *const lexical_files[] = {
    "adj.all",          "adj.pert",           "adv.all",
    "noun.Tops",        "noun.act",           "noun.animal",
    "noun.artifact",    "noun.attribute",     "noun.body",
    "noun.cognition",   "noun.communication", "noun.event",
    "noun.feeling",     "noun.food",          "noun.group",
    "noun.location",    "noun.motive",        "noun.object",
    "noun.person",      "noun.phenomenon",    "noun.plant",
    "noun.possession",  "noun.process",       "noun.quantity",
    "noun.relation",    "noun.shape",         "noun.state",
    "noun.substance",   "noun.time",          "verb.body",
    "verb.change",      "verb.cognition",     "verb.communication",
    "verb.competition", "verb.consumption",   "verb.contact",
    "verb.creation",    "verb.emotion",       "verb.motion",
    "verb.perception",  "verb.possession",    "verb.social",
    "verb.stative",     "verb.weather",       "adj.ppl"};

/* wninput(5WN): pointer symbols. */
static const struct {
    const char *symbol, *name;
} relations[] = {{"!", "antonym"},           {"@", "hypernym"},         {"@i", "instanceHypernym"},
                 {"~", "hyponym"},           {"~i", "instanceHyponym"}, {"#m", "memberHolonym"},
                 {"#s", "substanceHolonym"}, {"#p", "partHolonym"},     {"%m", "memberMeronym"},
                 {"%s", "substanceMeronym"}, {"%p", "partMeronym"},     {"=", "attribute"},
                 {"+", "derivation"},        {";c", "domainTopic"},     {"-c", "memberOfTopic"},
                 {";r", "domainRegion"},     {"-r", "memberOfRegion"},  {";u", "domainUsage"},
                 {"-u", "memberOfUsage"},    {"*", "entailment"},       {">", "cause"},
                 {"^", "alsoSee"},           {"$", "verbGroup"},        {"&", "similarTo"},
                 {"<", "participle"},        {"\\", "pertainym"}};

static int die(const char *what, const char *where)
{
    (void)fprintf(stderr, "sluice-wordnet: %s: %s\n", what, where);
    return 1;
}

/* A fixed UUID (version 8, RFC 9562) from text. */
static void uuid_of(const char *text, char ret[SL_UUID_TEXT_SIZE + 1])
{
    uint8_t bytes[SL_UUID_SIZE];
    SL_AUTO(sl_buf) salted = SL_BUF_EMPTY;
    sl_buf_addf(&salted, "wordnet:%s", text);
    sl_put_u64(bytes, sl_xxh64(sl_buf_view(&salted)));
    sl_buf_add_text(&salted, "#");
    sl_put_u64(bytes + 8, sl_xxh64(sl_buf_view(&salted)));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x80);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    sl_uuid_format(bytes, ret);
    ret[SL_UUID_TEXT_SIZE] = '\0';
}

/* Satellite adjectives (s) live in data.adj and share its offsets. */
static void synset_uuid(char pos, const char *offset, char ret[SL_UUID_TEXT_SIZE + 1])
{
    char key[32];
    (void)snprintf(key, sizeof(key), "%c%s", pos == 's' ? 'a' : pos, offset);
    uuid_of(key, ret);
}

struct synset {
    char *fields[LINE_FIELDS_MAX]; /* of the part before '|' */
    size_t field_count;
    char *gloss; /* after '|', trimmed */
    char pos;    /* n v a s r */
    uint32_t word_count, pointer_count;
    char **words;    /* word_count pairs: word, lex_id */
    char **pointers; /* pointer_count quadruples: symbol, offset, pos, source/target */
};

/* Cuts a line in place; false when it is not a synset line. */
static bool parse_line(char *line, struct synset *s)
{
    char *bar = strstr(line, " | ");
    if (line[0] == ' ' || bar == NULL) {
        return false;
    }
    *bar = '\0';
    s->gloss = bar + 3;
    size_t len = strlen(s->gloss);
    while (len > 0 && (s->gloss[len - 1] == ' ' || s->gloss[len - 1] == '\n')) {
        s->gloss[--len] = '\0';
    }
    s->field_count = 0;
    char *save = NULL;
    for (char *f = strtok_r(line, " ", &save); f != NULL; f = strtok_r(NULL, " ", &save)) {
        if (s->field_count == LINE_FIELDS_MAX) {
            return false;
        }
        s->fields[s->field_count++] = f;
    }
    if (s->field_count < 6) {
        return false;
    }
    s->pos = s->fields[2][0];
    s->word_count = (uint32_t)strtoul(s->fields[3], NULL, 16); /* w_cnt is hexadecimal */
    s->words = s->fields + 4;
    size_t pointers_at = 4 + (size_t)s->word_count * 2;
    if (s->word_count == 0 || pointers_at >= s->field_count) {
        return false;
    }
    s->pointer_count = (uint32_t)strtoul(s->fields[pointers_at], NULL, 10);
    s->pointers = s->fields + pointers_at + 1;
    return pointers_at + 1 + (size_t)s->pointer_count * 4 <= s->field_count;
}

/* "dog-iron" stays, '_' becomes a blank, "(a)" markers of adjectives go. */
static void add_lemma(struct sl_json *w, const char *word)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    for (const char *c = word; *c != '\0' && *c != '('; c++) {
        sl_buf_add_u8(&text, *c == '_' ? ' ' : (uint8_t)*c);
    }
    sl_json_str(w, sl_buf_str(&text));
}

/* ---- vector ---- */

static size_t tokenize(char *text, struct sl_str *tokens)
{
    size_t count = 0;
    char *at = text;
    while (*at != '\0' && count < TOKENS_MAX) {
        while (*at != '\0' && !((*at | 32) >= 'a' && (*at | 32) <= 'z') && (uint8_t)*at < 128) {
            at++;
        }
        char *start = at;
        while (((*at | 32) >= 'a' && (*at | 32) <= 'z') || (uint8_t)*at >= 128) {
            *at = (char)(*at | 32);
            at++;
        }
        if (at > start) {
            tokens[count++] = (struct sl_str){start, (size_t)(at - start)};
        }
    }
    return count;
}

static void embed(const char *gloss, float ret[DIMS])
{
    struct sl_str tokens[TOKENS_MAX];
    SL_AUTO(sl_buf) copy = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) gram = SL_BUF_EMPTY;
    sl_buf_add_text(&copy, gloss);
    (void)sl_buf_cstr(&copy);
    size_t count = tokenize((char *)copy.ptr, tokens);
    memset(ret, 0, DIMS * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        sl_buf_clear(&gram);
        for (size_t n = 0; n < GRAM_WORDS && i + n < count; n++) {
            sl_buf_add_str(&gram, tokens[i + n]);
            sl_buf_add_u8(&gram, ' ');
            uint64_t h = sl_xxh64(sl_buf_view(&gram));
            ret[h % DIMS] += (h >> 63) != 0 ? -1.0f : 1.0f;
        }
    }
    double sum = 0;
    for (size_t i = 0; i < DIMS; i++) {
        sum += (double)ret[i] * (double)ret[i];
    }
    if (sum == 0) {
        ret[0] = 1; /* a gloss without words still gets a unit vector */
        sum = 1;
    }
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < DIMS; i++) {
        ret[i] *= scale;
    }
}

static void add_vector(struct sl_json *w, const char *gloss)
{
    float vector[DIMS];
    char text[SL_F32_ARRAY_MAX(DIMS)];
    uint64_t nonfinite = 0;
    embed(gloss, vector);
    size_t len = sl_f32_array_format((const uint8_t *)vector, DIMS, text, &nonfinite);
    sl_json_raw(w, (struct sl_str){text, len});
}

/* ---- properties ---- */

/* The gloss is a definition, then examples in quotes. */
static void add_gloss(struct sl_json *w, const char *gloss)
{
    const char *quote = strchr(gloss, '"');
    size_t len = quote == NULL ? strlen(gloss) : (size_t)(quote - gloss);
    while (len > 0 && (gloss[len - 1] == ' ' || gloss[len - 1] == ';')) {
        len--;
    }
    sl_json_key(w, "gloss");
    sl_json_str(w, (struct sl_str){gloss, len});
    sl_json_key(w, "examples");
    sl_json_arr(w);
    while (quote != NULL) {
        const char *end = strchr(quote + 1, '"');
        if (end == NULL) {
            break;
        }
        sl_json_str(w, (struct sl_str){quote + 1, (size_t)(end - quote - 1)});
        quote = strchr(end + 1, '"');
    }
    sl_json_arr_end(w);
}

static const char *relation_name(const char *symbol)
{
    for (size_t i = 0; i < SL_COUNT_OF(relations); i++) {
        if (strcmp(relations[i].symbol, symbol) == 0) {
            return relations[i].name;
        }
    }
    return "other";
}

/* hypernym: the first one as uuid; relations: all of them as object[]. */
static void add_relations(struct sl_json *w, const struct synset *s)
{
    char target[SL_UUID_TEXT_SIZE + 1];
    bool has_hypernym = false;
    for (uint32_t i = 0; i < s->pointer_count && !has_hypernym; i++) {
        char **p = s->pointers + (size_t)i * 4;
        has_hypernym = p[0][0] == '@';
        if (has_hypernym) {
            synset_uuid(p[2][0], p[1], target);
            sl_json_key(w, "hypernym");
            sl_json_text(w, target);
        }
    }
    sl_json_key(w, "relations");
    sl_json_arr(w);
    for (uint32_t i = 0; i < s->pointer_count; i++) {
        char **p = s->pointers + (size_t)i * 4;
        synset_uuid(p[2][0], p[1], target);
        sl_json_obj(w);
        sl_json_key(w, "kind");
        sl_json_text(w, relation_name(p[0]));
        sl_json_key(w, "target");
        sl_json_text(w, target);
        sl_json_key(w, "isLexical"); /* between two words, not between the synsets */
        sl_json_bool(w, strcmp(p[3], "0000") != 0);
        sl_json_obj_end(w);
    }
    sl_json_arr_end(w);
}

static void add_synset(struct sl_json *w, const struct synset *s)
{
    char id[SL_UUID_TEXT_SIZE + 1];
    synset_uuid(s->pos, s->fields[0], id);
    unsigned long file_no = strtoul(s->fields[1], NULL, 10);
    sl_json_obj(w);
    sl_json_key(w, "id");
    sl_json_text(w, id);
    sl_json_key(w, "properties");
    sl_json_obj(w);
    sl_json_key(w, "lemmas");
    sl_json_arr(w);
    for (uint32_t i = 0; i < s->word_count; i++) {
        add_lemma(w, s->words[(size_t)i * 2]);
    }
    sl_json_arr_end(w);
    add_gloss(w, s->gloss);
    sl_json_key(w, "lexicalFile");
    sl_json_text(w, file_no < SL_COUNT_OF(lexical_files) ? lexical_files[file_no] : "unknown");
    sl_json_key(w, "offset");
    sl_json_u64(w, strtoul(s->fields[0], NULL, 10));
    sl_json_key(w, "lemmaCount");
    sl_json_u64(w, s->word_count);
    sl_json_key(w, "isSatellite");
    sl_json_bool(w, s->pos == 's');
    sl_json_key(w, "released");
    sl_json_text(w, "2006-12-01T00:00:00Z");
    sl_json_key(w, "source");
    sl_json_obj(w);
    sl_json_key(w, "name");
    sl_json_text(w, "WordNet");
    sl_json_key(w, "version");
    sl_json_f64(w, 3.0);
    sl_json_obj_end(w);
    add_relations(w, s);
    sl_json_obj_end(w);
    sl_json_key(w, "vector");
    add_vector(w, s->gloss);
    sl_json_obj_end(w);
}

static void add_word(struct sl_json *w, const struct synset *s, uint32_t word_idx)
{
    char id[SL_UUID_TEXT_SIZE + 1], synset[SL_UUID_TEXT_SIZE + 1], key[64];
    (void)snprintf(key, sizeof(key), "%c%s/%u", s->pos, s->fields[0], word_idx);
    uuid_of(key, id);
    synset_uuid(s->pos, s->fields[0], synset);
    const char *word = s->words[(size_t)word_idx * 2];
    sl_json_obj(w);
    sl_json_key(w, "id");
    sl_json_text(w, id);
    sl_json_key(w, "properties");
    sl_json_obj(w);
    sl_json_key(w, "lemma");
    add_lemma(w, word);
    sl_json_key(w, "synset");
    sl_json_text(w, synset);
    sl_json_key(w, "letters");
    sl_json_u64(w, strcspn(word, "("));
    sl_json_key(w, "isPhrase");
    sl_json_bool(w, strchr(word, '_') != NULL);
    sl_json_obj_end(w);
    sl_json_obj_end(w);
}

/* ---- files ---- */

static int convert(const char *dict, const char *out_dir, const char *pos, FILE *synsets)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s/data.%s", dict, pos);
    FILE *in = fopen(sl_buf_cstr(&path), "r");
    if (in == NULL) {
        return die("cannot read", sl_buf_cstr(&path));
    }
    sl_buf_clear(&path);
    sl_buf_addf(&path, "%s/word-%s.jsonl", out_dir, pos);
    FILE *words = fopen(sl_buf_cstr(&path), "w");
    if (words == NULL) {
        (void)fclose(in);
        return die("cannot write", sl_buf_cstr(&path));
    }
    static struct synset s; /* large, one at a time */
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, in) >= 0) {
        if (!parse_line(line, &s)) {
            continue; /* the licence lines at the head begin with blanks */
        }
        sl_buf_clear(&text);
        struct sl_json w = sl_json_over(&text);
        add_synset(&w, &s);
        sl_buf_add_text(&text, "\n");
        (void)fwrite(text.ptr, 1, text.len, synsets);
        sl_buf_clear(&text);
        for (uint32_t i = 0; i < s.word_count; i++) {
            w = sl_json_over(&text);
            add_word(&w, &s, i);
            sl_buf_add_text(&text, "\n");
        }
        (void)fwrite(text.ptr, 1, text.len, words);
    }
    free(line); /* allow: free, getline allocated it */
    (void)fclose(in);
    bool is_bad = text.is_failed || ferror(words) != 0;
    return fclose(words) != 0 || is_bad ? die("cannot write", sl_buf_cstr(&path)) : 0;
}

int main(int argc, char **argv)
{
    static const char *const parts[] = {"noun", "verb", "adj", "adv"};
    if (argc != 3) {
        (void)fputs("usage: sluice-wordnet DICT OUT\n", stderr);
        return 2;
    }
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s/synset.jsonl", argv[2]);
    FILE *synsets = fopen(sl_buf_cstr(&path), "w");
    if (synsets == NULL) {
        return die("cannot write", sl_buf_cstr(&path));
    }
    int code = 0;
    for (size_t i = 0; code == 0 && i < SL_COUNT_OF(parts); i++) {
        code = convert(argv[1], argv[2], parts[i], synsets);
    }
    bool is_bad = ferror(synsets) != 0;
    return fclose(synsets) != 0 || is_bad ? die("cannot write", sl_buf_cstr(&path)) : code;
}
