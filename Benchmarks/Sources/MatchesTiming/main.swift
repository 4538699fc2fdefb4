// SPDX-License-Identifier: Apache-2.0

// Does the time of Secret.matches tell where a guess goes wrong, or how long the secret is?
//
// Usage: MatchesTiming [TRIALS]     exit 0: no measurable difference, and the controls show one; else 1

import Glibc

let trials = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
let result = try MatchesTiming(trials: max(1000, trials)).run()
exit(result ? 0 : 1)
