/* SPDX-License-Identifier: Apache-2.0
 *
 * libyaml's event API. SecretStore is the only importer.
 */
#ifndef CREDFS_CYAML_SHIM_H
#define CREDFS_CYAML_SHIM_H

#include <yaml.h>

#endif
