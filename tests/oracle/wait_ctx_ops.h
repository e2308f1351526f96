/* The operations on wait contexts. */
#ifndef WAIT_CTX_OPS_H
#define WAIT_CTX_OPS_H

#include "world.h"

void op_waitctx(Frame *frame, const Step *step);
void op_newctx(Frame *frame, const Step *step);
void op_freectx(Frame *frame, const Step *step);
void op_setfd(Frame *frame, const Step *step);
void op_clearfd(Frame *frame, const Step *step);
void op_getfd(Frame *frame, const Step *step);
void op_allfds(Frame *frame, const Step *step);
void op_changed(Frame *frame, const Step *step);
void op_setcb(Frame *frame, const Step *step);
void op_getcb(Frame *frame, const Step *step);
void op_callcb(Frame *frame, const Step *step);
void op_setstatus(Frame *frame, const Step *step);
void op_getstatus(Frame *frame, const Step *step);

#endif
