/* SPDX-License-Identifier: MIT */
/*
 * Request heads: see fuzz_head.h.
 */
#include "fuzz_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_one_head(data, size, false);
}
