#define DCZ_TIER avx512
#define DCZ_TRAITS "traits_avx512.hpp"
#include "tier.inl"
