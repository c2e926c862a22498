/* A named value that one part keeps through another: who makes records need not know the store. */
#ifndef SL_BASE_RECORD_H
#define SL_BASE_RECORD_H

#include "base/bytes.h"

struct sl_record {
    struct sl_str name, value; /* value.ptr NULL: the record goes */
};

#endif
