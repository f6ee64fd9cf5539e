/* realesrgan-mpi: starts MPI, reads the command line, and is the only place that ends the program.
 */

#include <mpi.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "app/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "cli.h"
#include "comm/collectives.h"
#include "job/info.h"
#include "job/model_files.h"

/* One request to stop may arrive as several signals: Slurm signals all processes of a job, and
 * mpirun and the restart loop pass the signal on (measured: three signals within 3 ms). */
#define SAME_SIGNAL_SECONDS 1

static ResrSession session;
static int n_words;
static char **command_words;
static volatile sig_atomic_t stop_signal;
static atomic_llong stop_signal_ns; /* lock-free, hence async-signal-safe */

static void on_signal(int number)
{
    if (!stop_signal) {
        stop_signal_ns = resr_clock_ns();
        stop_signal = number;
        resr_stop_request(number);
        resr_collectives_shorten_start_timeout();
    } else if (resr_clock_seconds_since(stop_signal_ns) > SAME_SIGNAL_SECONDS) {
        _exit(128 + number); /* a second request ends the process at once */
    }
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Start-up collectives block while any rank hangs; this alarm ends the process. */
static void start_up_hangs(int number)
{
    static const char late[] = "realesrgan-mpi: error: a rank has not finished its start in 10 "
                               "minutes; the job ends; run the same command again\n";
    static const char stopped[] = "realesrgan-mpi: error: stopped by a signal, but a call during "
                                  "the start does not return; run the same command again\n";
    ssize_t written = stop_signal ? write(STDERR_FILENO, stopped, sizeof stopped - 1)
                                  : write(STDERR_FILENO, late, sizeof late - 1);
    (void)number;
    _exit(written < 0 ? 1 : resr_error_exit_status(RESR_ERR_STOPPED));
}

static void print_version(void)
{
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(mpi, &length);
    resr_info_print_version(mpi);
}

static int parse_line(ResrOptions *options, const char *line)
{
    return resr_cli_parse_line(options, &session.options, n_words,
                               (const char *const *)command_words, line);
}

static bool needs_ranks(ResrRequest request)
{
    return request == RESR_REQUEST_UPSCALE || request == RESR_REQUEST_DRY_RUN ||
           request == RESR_REQUEST_LIST_DEVICES;
}

static int serve(void)
{
    switch (session.options.request) {
    case RESR_REQUEST_DRY_RUN:
        return resr_session_dry_run(&session);
    case RESR_REQUEST_LIST_DEVICES:
        return resr_session_list_devices(&session);
    case RESR_REQUEST_UPSCALE:
        return resr_session_run(&session);
    default:
        break;
    }
    if (session.rank > 0)
        return 0;
    if (session.options.request == RESR_REQUEST_HELP)
        resr_cli_print_help();
    else if (session.options.request == RESR_REQUEST_VERSION)
        print_version();
    else if (session.options.request == RESR_REQUEST_CONVERT)
        return resr_model_files_convert(session.options.input, session.options.output,
                                        session.options.overwrite);
    else if (session.options.list_folder[0])
        return resr_model_files_list(session.options.list_folder);
    else
        resr_info_print_models(session.options.model_path);
    return 0;
}

int main(int argc, char **argv)
{
    ResrLauncher launcher;
    int provided, ret = 0;
    session.start_ns = resr_clock_ns();
    session.stop_signal = &stop_signal;
    session.start_up_hangs = start_up_hangs;
    session.parse_line = parse_line;
    resr_collectives_prepare(&launcher);
    resr_collectives_arm_start_timeout(start_up_hangs);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &session.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &session.ranks);
    if (session.rank > 0)
        resr_log_set_rank(session.rank);
    catch_signals();
    n_words = argc;
    command_words = argv;

    if (session.rank == 0)
        ret = resr_cli_parse(&session.options, argc, (const char *const *)argv);
    if (ret == 0 && session.rank == 0 && needs_ranks(session.options.request))
        ret = resr_collectives_check(&launcher, provided);
    ret = resr_collectives_share_status(ret);
    if (ret == 0) {
        resr_collectives_broadcast(&session.options, sizeof session.options);
        ret = serve();
    }
    if (ret < 0 && (session.rank == 0 || session.lost))
        resr_log_error("%s", resr_error_text());
    if (session.lost && session.rank > 0 && stop_signal == SIGTERM)
        _exit(resr_error_exit_status(ret)); /* mpirun is ending the job already */
    if (session.lost)
        MPI_Abort(MPI_COMM_WORLD, resr_error_exit_status(ret));
    MPI_Finalize();
    return session.rank == 0 ? resr_error_exit_status(ret) : 0;
}
