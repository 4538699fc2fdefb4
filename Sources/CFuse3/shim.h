/* SPDX-License-Identifier: Apache-2.0
 *
 * libfuse's low-level interface as of 3.14. FuseBridge is the only importer. No wrapper is needed.
 */
#ifndef CREDFS_CFUSE3_SHIM_H
#define CREDFS_CFUSE3_SHIM_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>

#endif
