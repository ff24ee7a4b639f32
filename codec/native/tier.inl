// One kernel set. The file that includes this names the set in DCZ_TIER and is compiled for its CPU;
// everything is static inside the set's namespace, so no set can borrow another's instructions.
#include "changes.hpp"
#include "compare.hpp"
#include "histogram.hpp"
#include "huffman_encode.hpp"
#include "jobs.hpp"
#include "planes.hpp"
#include "unique.hpp"

#define DCZ_TEXT_(x) #x
#define DCZ_TEXT(x) DCZ_TEXT_(x)

namespace dcz {
namespace DCZ_TIER {
const Kernels kernels = {
    DCZ_TEXT(DCZ_TIER), crc32c, histograms, code_lengths, check_codes, lane_sizes, encode,      kTableSize, decode,
    scan,               bitmap, nonzeros,   split,        merge,      gaps,       codebook_scratch, codebook,   plan_job, run_job,
    compare, stored_scratch, change_job, list_job,
};
}  // namespace DCZ_TIER
}  // namespace dcz
