/* libphonenumber behind C, so that nothing else of Sluice needs C++.
 *
 * The library's data is shared and read-only after its first use, which it makes safe itself.
 * @threads any. */
#include "database/phone.h"

#include <cstring>
#include <phonenumbers/phonenumberutil.h>
#include <string>

bool sli_phone_parse(const char *input, const char *default_country, struct sli_phone *ret)
{
    using i18n::phonenumbers::PhoneNumber;
    using i18n::phonenumbers::PhoneNumberUtil;
    const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
    PhoneNumber number;
    const char *country = default_country[0] == '\0' ? "ZZ" : default_country;
    if (util.Parse(input, country, &number) != PhoneNumberUtil::NO_PARSING_ERROR) {
        return false;
    }
    std::string text;
    std::memset(ret, 0, sizeof *ret);
    ret->is_valid = util.IsValidNumber(number);
    ret->country_code = static_cast<uint64_t>(number.country_code());
    ret->national = number.national_number();
    util.Format(number, PhoneNumberUtil::INTERNATIONAL, &text);
    text.copy(ret->international_formatted, sizeof ret->international_formatted - 1);
    util.Format(number, PhoneNumberUtil::NATIONAL, &text);
    text.copy(ret->national_formatted, sizeof ret->national_formatted - 1);
    return true;
}
