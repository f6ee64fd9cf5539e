#ifndef RESR_MEDIA_VERSION_H
#define RESR_MEDIA_VERSION_H

/* The media libraries as a whole. */

/* Limits the number of threads that decoders choose by themselves, as on a machine of `cpus`
 * processors. Call before the first decoder is opened. */
void resr_media_limit_cpus(int cpus);

/* Versions of the media libraries that run, a line each on stdout. */
void resr_media_print_versions(void);

#endif
