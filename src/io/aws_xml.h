/* aws_xml.h - the few values that are wanted of an XML answer of AWS or of an S3 server.
 *
 * Takes     any bytes: a tolerant scan for elements by their local name. Comments, processing instructions, declarations,
 *           attributes and prefixes are skipped, CDATA is text. What is no XML yields nothing; nothing is ever fetched,
 *           entities are the five of XML and numbers.
 * Limits    none of its own: it copies nothing and goes over the bytes once per call.
 */
#ifndef TICKLAKE_IO_AWS_XML_H
#define TICKLAKE_IO_AWS_XML_H

#include "base/buf.h"

/* Content of the next element `name` at any depth, still encoded; *rest goes behind it. False: no more, or it does not end. */
bool xml_next(struct str *rest, const char *name, struct str *ret);
/* Content of the first one; an empty str where there is none. */
struct str xml_first(struct str in, const char *name);
/* Local name of the root element. */
struct str xml_root(struct str in);
/* Text with entities and CDATA decoded, tags left out. */
void xml_text(struct str encoded, struct buf *ret);

#endif
