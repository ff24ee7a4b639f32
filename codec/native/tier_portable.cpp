#define DCZ_TIER portable
#define DCZ_TRAITS "traits_portable.hpp"
#include "tier.inl"
