#define DCZ_TIER avx2
#include "tier.inl"
