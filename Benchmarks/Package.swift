// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that nobody who uses credfs resolves what is measured with. One executable per question;
// they use public products only.
let package = Package(
    name: "credfs-benchmarks",
    dependencies: [
        .package(name: "credfs", path: "..")
    ],
    targets: [
        .executableTarget(
            name: "MatchesTiming",
            dependencies: [.product(name: "Credentials", package: "credfs")],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]
        )
    ],
    swiftLanguageModes: [.v6]
)
