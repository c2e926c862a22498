/* XML replies of object stores as events; the only door to expat.
 *
 * Entities, DTDs and processing instructions are refused (SL_EBADREQ), depth and text are bounded.
 * Pure. @threads any. */
#ifndef SL_HTTP_XML_H
#define SL_HTTP_XML_H

#include "base/buf.h"

#define SL_XML_DEPTH_MAX 16
#define SL_XML_TEXT_MAX  4096 /* of one element; keys have at most 1,024 bytes */

/* Once per element when it ends: path is "ListBucketResult/Contents/Key" (local names, no
 * namespaces), text its own character data, both borrowed. Elements with children come too, after
 * them, with what text they have. */
typedef sl_rc sl_xml_fn(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err);
sl_rc sl_xml_read(struct sl_bytes document, sl_xml_fn *fn, void *arg, struct sl_err *err);

#endif
