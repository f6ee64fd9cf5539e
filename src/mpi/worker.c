#include "mpi/worker.h"

#include "mpi/idle.h"
#include "mpi/mail.h"

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
        ret = resr_mail_poll(mail, &message, &rank);
        bool active = resr_mail_active(mail) || message;
        if (message && message->header.kind == RESR_WIRE_STOP) {
            message->header.kind = RESR_WIRE_BYE;
            ret = resr_mail_send(mail, 0, message);
            stopping = true;
        } else if (message && compute && message->header.kind == RESR_WIRE_WORK) {
            resr_compute_push(compute, message);
        } else {
            resr_message_free(message);
        }
        if (ret == 0 && !stopping && compute && (message = resr_compute_poll(compute))) {
            active = true;
            ret = resr_mail_send(mail, 0, message);
        }
        if (ret < 0)
            return ret; /* the exchange stays as it is: there is no orderly way out */
        resr_idle_turn(&idle, active);
    }
    resr_mail_free(mail);
    return 0;
}
