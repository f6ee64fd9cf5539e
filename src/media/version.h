#ifndef RESR_MEDIA_VERSION_H
#define RESR_MEDIA_VERSION_H

/* Versions of the media libraries that run, a line each on stdout. */
void resr_media_print_versions(void);

#endif
