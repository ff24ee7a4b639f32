// Runs a target over files, with any compiler: the corpus without libFuzzer. With several names it says how many there
// were.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** names) {
  for (int i = 1; i < count; ++i) {
    std::ifstream file(names[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", names[i]);
      return 2;
    }
    std::vector<char> read{std::istreambuf_iterator<char>(file), {}};
    read.shrink_to_fit();  // exactly the bytes that there are
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(read.data()), read.size());
  }
  std::printf("%d inputs\n", count - 1);
  return 0;
}
