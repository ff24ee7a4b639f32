#define DCZ_TIER portable
#include "tier.inl"
