#define DCZ_TIER avx2
#define DCZ_TRAITS "traits_avx2.hpp"
#include "tier.inl"
