/* zstd for libdcz by libzstd: options.zstd = dcz_zstd. */

#ifndef DCZ_ZSTD_H
#define DCZ_ZSTD_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

int dcz_zstd(void* context, void* to, size_t to_size, const void* from, size_t from_size);

#ifdef __cplusplus
}
#endif

#endif
