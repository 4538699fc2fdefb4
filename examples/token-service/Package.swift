// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "token-service",
    dependencies: [
        // In a package of your own: .package(url: "<where you got credfs>", from: "1.0.0")
        .package(name: "credfs", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "token-service",
            dependencies: [.product(name: "Credentials", package: "credfs")]
        )
    ],
    swiftLanguageModes: [.v6]
)
