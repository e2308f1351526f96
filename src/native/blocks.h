/* What pause_blocked and guarded are made of. */
#ifndef PAUSABLE_BLOCKS_H
#define PAUSABLE_BLOCKS_H

#include "job.h"

typedef struct {
    unsigned long thread;
    PyObject *job; /* owned; NULL: it was entered outside of jobs */
} entry;

/* Threads may share one object (a guarded lock's most of all), and may enter it again. */
typedef struct {
    PyObject_HEAD
    Py_ssize_t count, room;
    entry *entries; /* `first`, as long as one is enough */
    entry first;
} Block;

HIDDEN int block_begin(Block *self); /* 0, or -1 with an error set; likewise the next */
HIDDEN int block_end(Block *self);
HIDDEN int block_clear(Block *self);
HIDDEN int block_traverse(Block *self, visitproc visit, void *arg);
HIDDEN void block_dealloc(Block *self);

#endif
