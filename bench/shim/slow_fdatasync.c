/* Adds 2 ms to each fdatasync and fsync of a process that this is preloaded into, while the file exists that SLOW_DISK names:
 * what PostgreSQL waits for on a real disk. Switched by that file, so that fast and slow are measured in turn on one cluster. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_for_the_disk(void)
{
    const char *file = getenv("SLOW_DISK");
    struct timespec two_ms = {0, 2000000};
    if (file && access(file, F_OK) == 0)
        nanosleep(&two_ms, NULL);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_disk();
    return real(fd);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_for_the_disk();
    return real(fd);
}
