#define DCZ_TIER avx512
#include "tier.inl"
