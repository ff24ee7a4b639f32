// Preloaded: lets a system call fail, by its number among those that were made since it was armed. Also `new`.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <new>

namespace {
bool armed = false;
long calls = 0, fail_at = 0;  // the first call is 1; 0 lets none fail
int error = 0;                // what the call fails with; 0 makes it take half of what it was given
long news = 0, new_fails = 0;

bool fails() {
  if (!armed || ++calls != fail_at) return false;
  errno = error;
  return true;
}

template <class F>
F real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

// Half of a transfer, where that is what is asked for.
size_t cut(size_t n) { return error == 0 && n > 1 ? n / 2 : n; }

void* take(size_t n) {
  if (armed && ++news == new_fails) throw std::bad_alloc();
  void* p = malloc(n > 0 ? n : 1);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(size_t n) { return take(n); }
void* operator new[](size_t n) { return take(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept {
  return armed && ++news == new_fails ? nullptr : malloc(n > 0 ? n : 1);
}
void operator delete(void* p) noexcept { free(p); }
void operator delete[](void* p) noexcept { free(p); }
void operator delete(void* p, size_t) noexcept { free(p); }
void operator delete[](void* p, size_t) noexcept { free(p); }

extern "C" {

void dcz_fault_arm(long call, int number, long allocation) {
  calls = news = 0;
  fail_at = call;
  error = number;
  new_fails = allocation;
  armed = true;
}

long dcz_fault_disarm(long* allocations) {
  armed = false;
  *allocations = news;
  return calls;
}

#define TRANSFER(name, declared, size, cut_call, whole_call)   \
  ssize_t name declared {                                      \
    static const auto call = real<ssize_t(*) declared>(#name); \
    if (!fails()) return whole_call;                           \
    if (error != 0) return -1;                                 \
    const size_t half = cut(size);                             \
    return cut_call;                                           \
  }

TRANSFER(write, (int fd, const void* data, size_t n), n, call(fd, data, half), call(fd, data, n))
TRANSFER(read, (int fd, void* data, size_t n), n, call(fd, data, half), call(fd, data, n))
TRANSFER(pread64, (int fd, void* data, size_t n, off64_t at), n, call(fd, data, half, at), call(fd, data, n, at))

ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t at, int flags) {
  static const auto call = real<ssize_t (*)(int, const iovec*, int, off64_t, int)>("preadv64v2");
  if (!fails()) return call(fd, parts, count, at, flags);
  if (error != 0) return -1;
  iovec first = parts[0];
  first.iov_len = cut(first.iov_len);
  return call(fd, &first, 1, at, flags);
}

// Calls that have no half: they do not fail where `error` is 0.
#define PLAIN(name, declared, given)                       \
  int name declared {                                      \
    static const auto call = real<int(*) declared>(#name); \
    if (fails() && error != 0) return -1;                  \
    return call given;                                     \
  }

PLAIN(fsync, (int fd), (fd))
PLAIN(rename, (const char* from, const char* to), (from, to))
PLAIN(unlink, (const char* path), (path))
PLAIN(fchmod, (int fd, mode_t mode), (fd, mode))
PLAIN(fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
PLAIN(fstat64, (int fd, struct stat64* out), (fd, out))
PLAIN(stat64, (const char* path, struct stat64* out), (path, out))
PLAIN(ftruncate64, (int fd, off64_t size), (fd, size))

int open64(const char* path, int flags, ...) {
  static const auto call = real<int (*)(const char*, int, ...)>("open64");
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails() && error != 0) return -1;
  return call(path, flags, mode);
}

int close(int fd) {
  static const auto call = real<int (*)(int)>("close");
  const bool broken = fails() && error != 0;
  const int done = call(fd);  // Linux closes it in any case
  return broken ? -1 : done;
}
}
