#ifndef RESR_MODEL_ZIP_LAYOUT_H
#define RESR_MODEL_ZIP_LAYOUT_H

#include "model/readers.h"

/* PyTorch stores its entries. Weights that another program deflates shrink by a few per cent, and
 * the pickle of a small network to a tenth: all entries together have at most RESR_ZIP_MAX_RATIO
 * times the bytes of the file, and at most RESR_ZIP_MAX_BYTES. */
enum {
    RESR_ZIP_NAME_BYTES = 256,
    RESR_ZIP_MAX_ENTRIES = 5000,
    RESR_ZIP_MAX_RATIO = 16,
    RESR_ZIP_MAX_BYTES = 1 << 30,
};

/* Judges the layout of a zip archive (PKWARE APPNOTE 6.3.10) and reads no entry, which libzip does.
 * Stricter than the format: every entry is stored or deflated and not encrypted; its local header
 * and data descriptor agree with the central directory; no two entries overlap or have one name;
 * all are in one top folder; no bytes follow the end record; and the sizes are within the limits
 * above. `folder` receives the top folder with its slash, *bytes the sum of the entries' sizes as
 * declared. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_zip_check(char folder[RESR_ZIP_NAME_BYTES], size_t *bytes,
                                   const ResrBytes *file);

#endif
