#ifndef RESR_PREDICT_TABLE_H
#define RESR_PREDICT_TABLE_H

#include "job/plan.h"
#include "media/sink.h"
#include "predict/model.h"

/* The predictions of --plan, with every constant that they use. */

/* Source of a constant. */
typedef enum ResrMark {
    RESR_MARK_MEASURED,  /* on this machine by this dry run, or as `source` says */
    RESR_MARK_MODEL,     /* predicted by another model */
    RESR_MARK_DATASHEET, /* from the manufacturer */
    RESR_MARK_GIVEN,     /* by an option, or by the job */
    RESR_MARK_ASSUMED,
} ResrMark;

typedef struct ResrConstant {
    const char *name, *unit;
    double value;
    ResrMark mark;
    char source[160];
} ResrConstant;

#define RESR_MAX_CONSTANTS 24

typedef struct ResrPredictionTable {
    char device[64]; /* readable name */
    int count;
    ResrConstant constants[RESR_MAX_CONSTANTS];
    int rows;
    ResrPrediction predictions[RESR_PLAN_REQUEST_RANKS];
    bool ranks_encode[RESR_PLAN_REQUEST_RANKS];
} ResrPredictionTable;

/* Adds a constant; `source` is a printf format. */
void resr_prediction_table_constant(ResrPredictionTable *table, const char *name, double value,
                                    const char *unit, ResrMark mark, const char *source, ...)
    __attribute__((format(printf, 6, 7)));

/* Predicts the job for each number of ranks of `options`. `input`: all that does not depend on the
 * number of ranks. RESR_ERR_USAGE if --encode ranks is not possible. */
RESR_MUST_CHECK int resr_prediction_table_predict(ResrPredictionTable *table,
                                                  const ResrPredictInput *input,
                                                  const ResrPlan *plan, const ResrSinkPlan *output,
                                                  const ResrOptions *options);

/* Prints the table and the constants on stdout. */
void resr_prediction_table_print(const ResrPredictionTable *table);

/* Publishes them as one JSON object (--report). RESR_ERR_EXISTS, RESR_ERR_IO, RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_prediction_table_write(const ResrPredictionTable *table,
                                                const ResrPlan *plan, const ResrOptions *options,
                                                const ResrModel *model);

#endif
