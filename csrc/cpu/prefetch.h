// Tells the processor what is read soon, where the compiler has a word for it.
#pragma once

namespace avloc {

inline void prefetch(const void* address) {
#ifdef __GNUC__
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

} // namespace avloc
