/* A program that ends Python and begins anew: each time, it runs the script that it is given. */
#include <Python.h>

int
main(int argc, char **argv)
{
    int failed = argc != 2;
    for (int i = 0; i < 3 && !failed; i++) {
        Py_Initialize();
        failed |= PyRun_SimpleString(argv[1]);
        failed |= Py_FinalizeEx();
    }
    return failed;
}
