#ifndef RESR_BASE_LIMITS_H
#define RESR_BASE_LIMITS_H

#include <stdint.h>

/* Default sizes of segments, batches and tiles, and the bounds of accepted values, each with its
 * reason. */

/* Frames of a segment: one closed GOP with its own encoder. Two seconds at 24 frames/s: a player
 * can seek in it, and an I-frame every 48 costs little. */
#define RESR_SEGMENT_FRAMES 48

/* Frames of a batch: enough for a GPU to overlap transfers with computing, and a divisor of a
 * segment. */
#define RESR_BATCH_FRAMES 8

/* Largest --batch: the frames that one message describes. */
#define RESR_MAX_BATCH_FRAMES 64

/* -t auto: most bytes of an evaluation of the network, by the estimate of net/tile_auto.h.
 * Constants and not shares of the machine's memory, since the tiles determine the pixels. CPUs:
 * whole frames of 1080p for all known networks, on machines of 4 GiB. GPUs: the same, in the least
 * memory that cuda/forward_memory.c needs, on devices of 6 GB. */
#define RESR_PLAN_BYTES (INT64_C(3) << 30)
#define RESR_PLAN_GPU_BYTES (INT64_C(4) << 30)

/* -t auto in ResrOptions.tile_px. */
#define RESR_TILE_AUTO (-1)

/* -t auto: smallest side of a tile in input pixels, its context not counted, in a frame that is cut
 * in this direction; the official scripts' side. */
#define RESR_TILE_PX 256

/* Context on each side of a tile in input pixels: at least the 34 px that make the compact networks
 * exactly independent of tiling, and a multiple of 4 for networks with pixel_unshuffle(4). The
 * remaining seams with RRDBNet are measured in bench/README.md. Frames of one tile have none. */
#define RESR_TILE_PAD_PX 36

/* Default strength of realesr-general-x4v3, as its authors set it. */
#define RESR_DENOISE 0.5

/* Rank 0 encodes one segment at a time per this many CPUs: x264's threads and its lookahead. */
#define RESR_CPUS_PER_ENCODER 8

/* Default number of encoder threads: the same on every machine, because the number changes the
 * output of some encoders. */
#define RESR_ENCODER_THREADS 4

/* Memory of an encoder in frames of its output: RESR_ENCODER_POOL_FRAMES, and RESR_ENCODER_COPIES
 * for each frame of a segment, up to x264's lookahead. Largest resident set of ffmpeg with libx264,
 * 4 threads and 40 frames of lookahead at 3840 x 2160, 8 to 48 frames: 83 to 206 bytes per pixel;
 * with libx265 99 to 191 (2026-12-01). */
#define RESR_ENCODER_POOL_FRAMES 36
#define RESR_ENCODER_COPIES 2

/* Default quality of libx264, visually lossless: the encoder should not remove the detail that the
 * network adds. */
#define RESR_X264_CRF 17

/* Pixels that a core encodes in a second with an encoder's default preset, for --encode auto:
 * measured, bench/README.md. Other encoders are assumed to be as fast as x264. */
#define RESR_X264_CORE_PX 17e6
#define RESR_X265_CORE_PX 8e6

/* Parts in flight of a rank: one being computed, one being received. */
#define RESR_PARTS_IN_FLIGHT 2

/* A rank counts as hung after RESR_DEADLINE_SECONDS without a message, or, while it sends
 * heartbeats without progress, after RESR_DEADLINE_FRAMES times the duration of the longest frame
 * so far. */
#define RESR_DEADLINE_SECONDS 30
#define RESR_DEADLINE_FRAMES 20

/* Limit of the start, during which the ranks wait for each other in collective calls that have no
 * timeout: the job ends afterwards. */
#define RESR_START_UP_SECONDS 600

/* Slowest speed assumed of a rank before its first frame. */
#define RESR_SLOWEST_FLOPS 5e9

/* Failures of a part, each on a rank that had room, before the job fails. Attempts of ranks that
 * hang or are excluded are not counted. */
#define RESR_MAX_FAILURES 3

/* --checkpoint auto writes batch files when a kill would cost more than this much computing. */
#define RESR_REDO_SECONDS 300

/* Longest wait of a stopping job for parts that are being computed: after SIGTERM or SIGINT, which
 * SIGKILL follows, and after SIGUSR1, the early notice. */
#define RESR_DRAIN_SECONDS 8
#define RESR_DRAIN_NOTICE_SECONDS 60

/* Longest wait of a job that ends early for the goodbye of its ranks; its frames are saved after
 * that. */
#define RESR_HURRY_SECONDS 2

/* Longest wait for another process that holds the job's lock: ranks live for up to 2 s after mpirun
 * is killed, and a slow file system needs longer. */
#define RESR_LOCK_WAIT_SECONDS 30

/* For file systems without locks: interval of a lease's renewal; time without a change after which
 * a waiting process takes over the lease (longer than the longest silence of an NFS client with a
 * slow server; its caches do not matter, because each look opens the file again); longest wait for
 * a lease, somewhat longer than that time. */
#define RESR_LEASE_BEAT_SECONDS 5
#define RESR_LEASE_STALE_SECONDS 30
#define RESR_LEASE_WAIT_SECONDS 40

/* Frames of a video: 1,000 years at 30 frames/s. Larger numbers of frames are damage. */
#define RESR_MAX_FRAMES (INT64_C(1) << 40)

/* Largest distance between the first frame that is not durable and the last frame that is: more 4K
 * frames than the pools of 65,536 ranks hold. A journal with a larger distance is damaged. */
#define RESR_MAX_OPEN_FRAMES (1 << 22)

/* Longest line of --jobs: a few paths of 4096 bytes and their options. */
#define RESR_JOB_LINE_BYTES (1 << 16)

/* Largest accepted frame. 16K video is 15360 x 8640. */
#define RESR_MAX_SIDE_PX 32768
#define RESR_MAX_FRAME_PX (1 << 28)

/* Largest picture of the network itself, before it is resized to --outscale: a network that
 * enlarges 4x computes 16K video at twice its final width and height. */
#define RESR_MAX_NETWORK_PX (4LL * RESR_MAX_FRAME_PX)

/* Streams of an input: as many as FFmpeg handles by default. */
#define RESR_MAX_STREAMS 1000

/* Largest number of ranks, which bounds reports and the coordinator's tables. */
#define RESR_MAX_RANKS 65536

/* Events that --trace keeps of a rank, and of all ranks together on rank 0 (48 bytes each, 192
 * MiB): a video of 100,000 frames has some 400,000. */
#define RESR_TRACE_MAX_EVENTS (1 << 22)

/* A message is sent in pieces of at most this many bytes, since an MPI count is an int. */
#define RESR_MESSAGE_PIECE_BYTES (1 << 28)

#endif
