// Kernels over the words of tensors: whatever the words are, all kernel sets give the same, and what must hold holds.
#include "target.hpp"

using namespace dcz;

static void scan(const Kernels* k, const Exact<u8>& words, usize word, usize limit, std::vector<Exact<u8>>& out) {
  const usize n = words.size() / word, id = limit > 256 ? 2 : 1;
  usize slots = 2;
  while (slots < 2 * limit) slots *= 2;
  Exact<u64> keys(limit);
  Exact<u32> table(slots);
  Exact<u8> bitmap(ceil_div(n, 8)), ids(n * id);
  usize found = 0, nonzeros = 0;
  const Status s = k->scan(words.data(), n, word, limit, keys.data(), &found, table.data(), slots, bitmap.data(),
                           ids.data(), id, n, &nonzeros);
  must(found <= limit && nonzeros <= n, "scan: more keys or nonzeros than there can be");
  out.emplace_back(1, static_cast<u8>(s));
  if (s != Status::ok) return;
  out.emplace_back(reinterpret_cast<const u8*>(keys.data()), found * sizeof(u64));
  out.push_back(bitmap);
  out.emplace_back(ids.data(), nonzeros * id);
}

static void positions(const Kernels* k, const Exact<u8>& words, usize word, int bits, usize chunk,
                      std::vector<Exact<u8>>& out) {
  const usize n = words.size() / word;
  Exact<u8> bitmap(ceil_div(n, 8));
  const usize nonzeros = k->bitmap(words.data(), n, word, bitmap.data());
  Exact<u8> taken(nonzeros * word);
  must(k->nonzeros(words.data(), n, word, taken.data(), nonzeros) == nonzeros, "nonzeros: not those of the bitmap");
  if (nonzeros > 0) {
    Exact<u8> fewer((nonzeros - 1) * word);
    (void)k->nonzeros(words.data(), n, word, fewer.data(), nonzeros - 1);
  }
  const usize each = bits == 16 ? 2 : 1, capacity = nonzeros + n / ((usize{1} << bits) - 1);
  Exact<u8> symbols(capacity * each);
  Exact<i64> entries(ceil_div(n, chunk));
  usize written = 0;
  const Status s = k->gaps(bitmap.data(), n, chunk, bits, symbols.data(), symbols.size(), entries.data(), &written);
  must(s == Status::ok && written <= capacity, "gaps: do not fit the room that they take");
  if (written > 0) {
    Exact<u8> fewer((written - 1) * each);
    usize ignored = 0;
    must(k->gaps(bitmap.data(), n, chunk, bits, fewer.data(), fewer.size(), entries.data(), &ignored) != Status::ok,
         "gaps: fit less than they take");
  }
  out.push_back(bitmap);
  out.push_back(taken);
  out.emplace_back(symbols.data(), written * each);
}

static void planes(const Kernels* k, const Exact<u8>& words, usize word, bool rotate, std::vector<Exact<u8>>& out) {
  const usize n = words.size() / word;
  Exact<u8> split(words.size()), merged(words.size());
  k->split(words.data(), n, word, rotate, split.data(), n);
  k->merge(split.data(), n, n, word, rotate, merged.data());
  must(merged == words, "merge does not undo split");
  out.push_back(split);
}

static void compare(const Kernels* k, const Exact<u8>& both, usize word, int transform, bool magnitude,
                    std::vector<Exact<u8>>& out) {
  const usize n = both.size() / word / 2;
  const Exact<u8> now(both.data(), n * word), base(both.data() + n * word, n * word);
  Exact<u8> bitmap(ceil_div(n, 8)), stored(n * word);
  usize count = 0;
  const Status s = k->compare(now.data(), base.data(), n, word, static_cast<Transform>(transform), magnitude,
                              bitmap.data(), stored.data(), n, &count);
  out.emplace_back(1, static_cast<u8>(s));
  if (s != Status::ok) return;
  must(count <= n, "compare: more words than there are");
  if (count > 0) {
    Exact<u8> fewer((count - 1) * word);
    usize ignored = 0;
    must(k->compare(now.data(), base.data(), n, word, static_cast<Transform>(transform), magnitude, bitmap.data(),
                    fewer.data(), count - 1, &ignored) == Status::full,
         "compare: fits less than it takes");
  }
  out.push_back(bitmap);
  out.emplace_back(stored.data(), count * word);
}

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const u8 what = in.byte(), mode = in.byte();
  const usize word = word_of(in.byte());
  const usize repeat = usize{in.byte()} % 16 + 1;
  Exact<u8> words(in.left() * repeat / word * word);
  for (usize i = 0; i < words.size(); ++i) words[i] = in.rest()[i % in.left()];
  std::vector<Exact<u8>> first;
  for (const Kernels* k : sets()) {
    std::vector<Exact<u8>> found;
    switch (what % 5) {
      case 0:
        if (word == 1) return 0;
        scan(k, words, word, mode % 2 && word > 2 ? usize{mode} * 9 + 1 : usize{mode} + 1, found);
        break;
      case 1: {
        constexpr int kBits[] = {4, 5, 8, 16};
        positions(k, words, word, kBits[mode % 4], 64 * (usize{mode} / 4 + 1), found);
        break;
      }
      case 2:
        planes(k, words, word, mode % 2, found);
        break;
      case 3:
        compare(k, words, word, mode % 8, mode / 8 % 2, found);
        break;
      default: {
        const u32 crc = k->crc32c(words.data(), words.size(), mode);
        const usize half = words.size() / 2;
        must(k->crc32c(words.data() + half, words.size() - half, k->crc32c(words.data(), half, mode)) == crc,
             "crc32c: not that of its parts");
        found.emplace_back(reinterpret_cast<const u8*>(&crc), sizeof crc);
      }
    }
    if (first.empty())
      first.swap(found);
    else
      must(found == first, "kernel sets differ");
  }
  return 0;
}
