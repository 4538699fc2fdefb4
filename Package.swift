// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// Every Swift target is held to the same rules; docs/decisions/0009 says why.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
]

// Types are found by their functions and not by their mangled names, which the runtime would take apart, and check by going through
// every conformance of the program: a tenth of the time of a `run`. Not for modules that other packages build, which may not pass it.
let quickStart =
    strict + [
        .unsafeFlags(
            ["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"],
            .when(configuration: .release)
        )
    ]

// Every function is found before the program begins. The loader saves all vector registers on the stack when it looks for one
// later, and what was copied last is still in them.
let boundAtStart: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "now"])]

// The program as it is shipped: one file that needs nothing of its host, linked statically and loaded at random addresses
// (static-PIE, which lld alone can make of Swift). CREDFS_LINK=dynamic is for packages of a distribution. docs/decisions/0072
// says why. The two libraries belong to FoundationEssentials, which names them only to a compiler that was told to link statically.
let shipped: [LinkerSetting] =
    Context.environment["CREDFS_LINK"] == "dynamic"
    ? boundAtStart
    : boundAtStart + [
        .unsafeFlags(
            [
                "-static-executable", "-use-ld=lld", "-Xclang-linker", "-static-pie", "-l_FoundationCollections",
                "-l_FoundationCShims", "-Xlinker", "--pack-dyn-relocs=relr",
            ],
            .when(configuration: .release)
        )
    ]

// The runtime of the language looks for a program to print crashes with when it starts; a statically linked one aborts where
// there is no /proc. `Main.swift` answers that there is none.
let withoutAuxiliaryPrograms: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "--wrap=swift_copyAuxiliaryExecutablePath"])
]

// Of the language's runtime it needs nothing of its host. An option of the whole build would compile every module a second
// time, since the program that is one file is built without it.
let withStaticRuntime: [LinkerSetting] = [.unsafeFlags(["-static-stdlib"], .when(configuration: .release))]

// Injected failures of system calls (FaultPlan): in debug builds alone, for the module that makes the calls and for tests.
let faults = strict + [.define("CREDFS_FAULT_HOOK", .when(configuration: .debug))]

let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "credfs",
    products: [
        .executable(name: "credfs", targets: ["credfs"]),
        .executable(name: "credfs-remote", targets: ["credfs-remote"]),
        .library(name: "Credentials", targets: ["Credentials"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    ],
    targets: [
        // C, one module per library; each is imported by exactly one Swift target (scripts/check).
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CFuse3", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // The house, from the ground up.
        .target(name: "SystemCalls", dependencies: ["CLinux", systemPackage], swiftSettings: faults),
        .target(name: "SecureMemory", dependencies: ["SystemCalls", systemPackage], swiftSettings: strict),
        .target(
            name: "SecureFiles",
            dependencies: ["SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: quickStart
        ),
        .target(name: "SecureJSON", swiftSettings: strict),
        .target(name: "Sealing", dependencies: ["CLibCrypto", "SecureMemory"], swiftSettings: strict),
        .target(
            name: "ProcessControl",
            dependencies: ["SecureJSON", "SystemCalls", systemPackage],
            swiftSettings: quickStart
        ),
        // For programs that use secrets: the only public API of the package.
        .target(
            name: "Credentials",
            dependencies: ["SecureJSON", "Sealing", "SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CredentialsTests",
            dependencies: [
                "Credentials", "Sealing", "SecureMemory", "SystemCalls", "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict,
            linkerSettings: boundAtStart
        ),
        .target(
            name: "ConsumerProbe",
            dependencies: ["Credentials"],
            path: "Tests/ConsumerProbe",
            swiftSettings: strict
        ),

        .target(
            name: "SecretStore",
            dependencies: [
                "CYAML", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: quickStart
        ),
        .target(
            name: "AuditLog",
            dependencies: ["Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: quickStart
        ),
        .target(
            name: "FuseBridge",
            dependencies: ["CFuse3", "SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: quickStart
        ),
        .target(
            name: "SecretFileSystem",
            dependencies: [
                "AuditLog", "FuseBridge", "SecretStore", "Sealing", "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: quickStart
        ),
        .target(
            name: "PlaintextDocuments",
            dependencies: [
                "SecretStore", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "ProcessControl",
                "SystemCalls",
                systemPackage,
            ],
            swiftSettings: quickStart
        ),
        .target(
            name: "SecretProviders",
            dependencies: ["SecureMemory", "SystemCalls", systemPackage],
            swiftSettings: strict
        ),
        .target(
            name: "SecretSources",
            dependencies: [
                "PlaintextDocuments", "ProcessControl", "SecretProviders", "SecretStore", "Sealing", "SecureFiles",
                "SecureMemory", "SystemCalls", systemPackage,
            ],
            swiftSettings: quickStart
        ),
        // Another program, which alone speaks to the network and knows no store.
        .target(
            name: "RemoteProviders",
            dependencies: [
                "CCurl", "ProcessControl", "SecretProviders", "Sealing", "SecureJSON", "SecureMemory", "SystemCalls",
                systemPackage,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Jobs",
            dependencies: [
                "SecretFileSystem", "FuseBridge", "SecretStore", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory",
                "ProcessControl", "SystemCalls", systemPackage,
            ],
            swiftSettings: quickStart
        ),
        .target(
            name: "HostChecks",
            dependencies: ["AuditLog", "ProcessControl", "SecretStore", "SecureFiles", "SystemCalls", systemPackage],
            swiftSettings: quickStart
        ),
        .target(
            name: "CredfsCommands",
            dependencies: [
                "HostChecks", "Jobs", "SecretFileSystem", "SecretSources", "SecretProviders", "PlaintextDocuments",
                "AuditLog", "SecretStore",
                "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "ProcessControl", "SystemCalls", argumentParser,
                systemPackage,
            ],
            swiftSettings: quickStart
        ),
        .executableTarget(
            name: "credfs",
            dependencies: ["CredfsCommands"],
            // It has a `main` function, not a script of statements.
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
            linkerSettings: shipped + withoutAuxiliaryPrograms
        ),
        // Linked with the distribution's libcurl, whose security updates reach it: docs/decisions/0096.
        .executableTarget(
            name: "credfs-remote",
            dependencies: ["RemoteProviders"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
            linkerSettings: boundAtStart + withoutAuxiliaryPrograms + withStaticRuntime
        ),

        // What the tests share, and programs that a test starts because only a process of its own can show something.
        .systemLibrary(name: "CTestCalls", path: "Tests/CTestCalls"),
        .systemLibrary(name: "CProbeCalls", path: "Tests/CProbeCalls"),
        .target(name: "CredfsTestSupport", dependencies: ["CTestCalls", systemPackage], swiftSettings: strict),
        .executableTarget(
            name: "HardeningProbe",
            dependencies: ["CProbeCalls", "ProcessControl", "SystemCalls", systemPackage],
            path: "Tests/HardeningProbe",
            swiftSettings: strict,
            linkerSettings: shipped
        ),

        .testTarget(
            name: "SystemCallsTests",
            dependencies: ["SystemCalls", "CredfsTestSupport", systemPackage],
            swiftSettings: faults
        ),
        .testTarget(name: "SecureJSONTests", dependencies: ["SecureJSON"], swiftSettings: strict),
        .testTarget(
            name: "SecureMemoryTests",
            dependencies: ["SecureMemory", "CredfsTestSupport", systemPackage],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SealingTests",
            dependencies: ["Sealing", "SecureMemory", "CredfsTestSupport", systemPackage],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SecretStoreTests",
            dependencies: [
                "SecretStore", "Sealing", "SecureFiles", "SecureJSON", "SecureMemory", "SystemCalls",
                "CredfsTestSupport",
                systemPackage,
            ],
            swiftSettings: faults
        ),
        .testTarget(
            name: "AuditLogTests",
            dependencies: [
                "AuditLog", "Sealing", "SecureFiles", "SecureMemory", "SystemCalls", "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: faults
        ),
        .testTarget(
            name: "SecretFileSystemTests",
            dependencies: [
                "SecretFileSystem", "FuseBridge", "SecretStore", "Sealing", "SecureFiles", "SecureMemory",
                "SystemCalls",
                "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "PlaintextDocumentsTests",
            dependencies: ["PlaintextDocuments", "SecretStore", "Sealing", "SecureMemory", "CredfsTestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SecretSourcesTests",
            dependencies: [
                "SecretSources", "SecretProviders", "SecretStore", "Sealing", "SecureMemory", "SystemCalls",
                "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RemoteProvidersTests",
            dependencies: [
                "RemoteProviders", "SecretProviders", "SecretSources", "SecureMemory", "SystemCalls",
                "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "JobsTests",
            dependencies: [
                "Jobs", "SecretFileSystem", "FuseBridge", "SecretStore", "ProcessControl", "SystemCalls",
                "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "HostChecksTests",
            dependencies: [
                "HostChecks", "ProcessControl", "SecretStore", "SecureFiles", "SystemCalls", "CredfsTestSupport",
                systemPackage,
            ],
            swiftSettings: strict
        ),
        // Real mounts: as root, with /dev/fuse.
        .testTarget(
            name: "MountTests",
            dependencies: [
                "SecretFileSystem", "FuseBridge", "SecretStore", "Sealing", "SecureMemory", "SystemCalls",
                "CredfsTestSupport", systemPackage,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ProcessControlTests",
            dependencies: ["HardeningProbe", "ProcessControl", "SystemCalls", "CredfsTestSupport", systemPackage],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "credfs", "CredfsCommands", "CredfsTestSupport", "SystemCalls", systemPackage, argumentParser,
            ],
            swiftSettings: strict
        ),
        // Programs of others that read from mounts: as root, with /dev/fuse.
        .testTarget(name: "ReaderTests", dependencies: ["credfs", "CredfsTestSupport"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)

// Documentation only: a consumer never resolves the plugin.
if Context.environment["CREDFS_DOCS"] != nil {
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-docc-plugin", exact: "1.5.0"))
}

// Where optimization matters: what wipes, seals, hardens, and what apps link. CREDFS_OPTIMIZED leaves out the other tests, so
// that the release tree of the shipped program holds these too (docs/decisions/0070).
if Context.environment["CREDFS_OPTIMIZED"] != nil {
    let optimized = ["SecureMemoryTests", "SealingTests", "ProcessControlTests", "CredentialsTests"]
    package.targets.removeAll { $0.type == .test && !optimized.contains($0.name) }
    // The linker's settings of a program would become those of the tests; scripts/build has built it.
    for target in package.targets where target.name == "ProcessControlTests" {
        target.dependencies = ["ProcessControl", "SystemCalls", "CredfsTestSupport", systemPackage]
    }
}
