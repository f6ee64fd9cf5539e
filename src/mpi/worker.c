#include "mpi/worker.h"

#include <stdio.h>

#include "mpi/idle.h"
#include "mpi/mail.h"

static int send_failure(ResrMail *mail, int code)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_FAILURE);
    if (ret < 0)
        return ret;
    message->header.code = code;
    snprintf(message->header.text, sizeof message->header.text, "%s", resr_error_text());
    return resr_mail_send(mail, 0, message);
}

int resr_worker_run(ResrCompute *compute, const ResrPlan *plan)
{
    ResrMail *mail;
    ResrMessage *message;
    ResrIdle idle = {0};
    bool stopping = false;
    int rank;
    int ret = resr_mail_create(&mail, 0, 0, &plan->input);
    if (ret < 0)
        return ret;
    while (!stopping || resr_mail_sending(mail) > 0) {
        int status = resr_mail_poll(mail, &message, &rank);
        if (status < 0)
            ret = send_failure(mail, status);
        bool active = resr_mail_active(mail) || message;
        if (message && message->header.kind == RESR_WIRE_STOP) {
            resr_message_free(message);
            stopping = true;
            status = resr_message_create(&message, RESR_WIRE_BYE);
            if (status == 0)
                status = resr_mail_send(mail, 0, message);
            if (status < 0)
                ret = status;
        } else if (message && compute && message->header.kind == RESR_WIRE_WORK) {
            resr_compute_push(compute, message);
        } else {
            resr_message_free(message);
        }
        if (!stopping && compute && (message = resr_compute_poll(compute))) {
            active = true;
            ret = resr_mail_send(mail, 0, message);
        }
        if (ret < 0)
            break; /* nothing can be said any more; rank 0 or mpirun ends the job */
        resr_idle_turn(&idle, active);
    }
    if (ret == 0)
        resr_mail_free(mail);
    return ret;
}
