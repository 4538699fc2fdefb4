/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of libFuzzer for programs that have a main function of their own (LLVM, FuzzerInterface.h).
 */
#ifndef CREDFS_CFUZZER_SHIM_H
#define CREDFS_CFUZZER_SHIM_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));

#endif
