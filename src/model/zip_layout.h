#ifndef RESR_MODEL_ZIP_LAYOUT_H
#define RESR_MODEL_ZIP_LAYOUT_H

#include "model/readers.h"

enum { RESR_ZIP_NAME_BYTES = 256, RESR_ZIP_MAX_ENTRIES = 5000 };

/* Checks a zip archive's structure (PKWARE APPNOTE 6.3.10) more strictly than the format asks:
 * every entry stored and not encrypted, its local header and data descriptor in agreement with the
 * central directory, no two overlapping or of one name, all under one top folder, and no bytes
 * after the end record. `folder` receives that folder with its slash. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_zip_check(char folder[RESR_ZIP_NAME_BYTES], const ResrBytes *file);

#endif
