#ifndef RESR_MODEL_ZIP_LAYOUT_H
#define RESR_MODEL_ZIP_LAYOUT_H

#include "model/readers.h"

enum { RESR_ZIP_NAME_BYTES = 256, RESR_ZIP_MAX_ENTRIES = 5000 };

/* Judges the layout of a zip archive (PKWARE APPNOTE 6.3.10) and reads no entry, which libzip does.
 * Stricter than the format: every entry is stored and not encrypted; its local header and data
 * descriptor agree with the central directory; no two entries overlap or have one name; all are in
 * one top folder; and no bytes follow the end record. `folder` receives the top folder with its
 * slash. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_zip_check(char folder[RESR_ZIP_NAME_BYTES], const ResrBytes *file);

#endif
