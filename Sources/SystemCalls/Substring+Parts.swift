// SPDX-License-Identifier: Apache-2.0

extension StringProtocol where SubSequence == Substring {
    /// Splits at an ASCII character, whatever stands beside it.
    ///
    /// Texts of the kernel are bytes: what people take for one character, such as a line feed behind a carriage return, is
    /// none there. It also costs a tenth of what a split into such characters does.
    package func parts(
        at separator: Unicode.Scalar,
        maxSplits: Int = .max,
        omittingEmptySubsequences: Bool = true
    ) -> [Substring] {
        Substring(self).utf8
            .split(
                separator: UInt8(ascii: separator),
                maxSplits: maxSplits,
                omittingEmptySubsequences: omittingEmptySubsequences
            )
            .map { Substring($0) }
    }
}
