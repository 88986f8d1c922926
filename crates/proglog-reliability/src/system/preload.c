/* Calls on files that move fewer bytes than they were asked for, or are interrupted: two of three. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* How many calls were short or interrupted. */
static unsigned long long changed;

static void change(void)
{
    __atomic_add_fetch(&changed, 1, __ATOMIC_RELAXED);
}

/* Tells it at the end, in the file that is asked for. */
__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("SHORT_TRANSFERS_CHANGED");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%llu\n", changed);
        fclose(file);
    }
}

static unsigned long long number(void)
{
    static unsigned long long count;
    static unsigned long long seed;
    if (seed == 0) {
        const char *text = getenv("SHORT_TRANSFERS_SEED");
        seed = text ? strtoull(text, NULL, 10) + 1 : 1;
    }
    unsigned long long word = seed + 0x9e3779b97f4a7c15ull * __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
    return word ^ (word >> 31);
}

/* How many of `len` bytes to move; 0 for an interruption. */
static size_t share(size_t len)
{
    unsigned long long word = number();
    if (len == 0 || word % 3 == 0)
        return len;
    change();
    if (word % 3 == 1)
        return 0;
    return 1 + (word >> 8) % len;
}

#define INTERRUPTED(len) (len != 0 && moved == 0)

ssize_t pread64(int fd, void *bytes, size_t len, off64_t offset)
{
    static ssize_t (*next)(int, void *, size_t, off64_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pread64");
    size_t moved = share(len);
    if (INTERRUPTED(len)) {
        errno = EINTR;
        return -1;
    }
    return next(fd, bytes, moved, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
    size_t moved = share(len);
    if (INTERRUPTED(len)) {
        errno = EINTR;
        return -1;
    }
    return next(fd, bytes, moved, offset);
}

#define INTERRUPT(name, parameters, arguments)              \
    int name parameters                                     \
    {                                                       \
        static int(*next) parameters;                       \
        if (!next)                                          \
            *(void **)&next = dlsym(RTLD_NEXT, #name);      \
        if (number() % 3 != 0) {                            \
            change();                                       \
            errno = EINTR;                                  \
            return -1;                                      \
        }                                                   \
        return next arguments;                              \
    }

INTERRUPT(fdatasync, (int fd), (fd))
INTERRUPT(fsync, (int fd), (fd))
INTERRUPT(ftruncate64, (int fd, off64_t len), (fd, len))
