/* What phone.cc (option `phone`) gives to C: a phone number taken apart as Weaviate enriches it. */
#ifndef SL_DATABASE_PHONE_H
#define SL_DATABASE_PHONE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sli_phone {
    bool is_valid;
    uint64_t country_code, national;
    char international_formatted[64], national_formatted[64];
};

/* default_country: two capital letters or "". false: not a phone number. @threads any */
bool sli_phone_parse(const char *input, const char *default_country, struct sli_phone *ret);

#ifdef __cplusplus
}
#endif

#endif
