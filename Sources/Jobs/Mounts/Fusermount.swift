// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// The setuid program that mounts for those who may not (fusermount3(1) of libfuse).
enum Fusermount {
    static let places = FuseMount.helperPlaces
    private static let variable = "_FUSE_COMMFD"

    static var program: String? {
        places.first { path in (try? OwnedDescriptor.open(path, O_RDONLY)) != nil }
    }

    /// Mounts.
    ///
    /// - Parameters:
    ///   - path: an existing directory of the user.
    ///   - options: what the kernel is told.
    /// - Returns: the device.
    /// - Throws: class `mount`, with what the program said.
    static func mount(at path: String, _ options: FuseMount.Options) throws(MountError) -> OwnedDescriptor {
        guard let program else {
            // What helps is for the host to say: perhaps the device is missing, too.
            throw MountError(.mount, "cannot mount: there is no fusermount3")
        }
        let words = [
            "ro,nosuid,nodev,noexec,default_permissions,fsname=credfs,subtype=credfs",
            "max_read=\(options.maximumReadByteCount)",
        ]
        let option = (words + (options.allowOther ? ["allow_other"] : [])).joined(separator: ",")
        let output = try MountError.wrapping(.mount, "start \(program)") { () throws(Errno) in
            try OwnedDescriptor.pipe()
        }
        let answer: Answer
        do throws(Errno) {
            answer = try MessageSocket.pair(.stream) { (ours, theirs) throws(Errno) in
                let child = try ChildProcess(
                    program,
                    arguments: ["fusermount3", "-o", option, "--", path],
                    environment: ["\(variable)=3"],
                    descriptors: [
                        (0, 0), (1, output.write.number), (2, output.write.number), (3, theirs.descriptor.number),
                    ]
                )
                // So that its end is an end of the stream here.
                _ = consume theirs
                let message = try ours.receive()
                return Answer(device: message.descriptor, exit: try child.wait())
            }
        } catch { throw MountError.system(.mount, "run \(program)", error) }
        let said = Self.text(of: output)
        guard answer.device >= 0, answer.exit == .status(0) else {
            if answer.device >= 0 { _ = OwnedDescriptor(owning: answer.device) }
            let reason = Self.firstLine(said)
            throw MountError(.mount, "cannot mount at \(path): \(reason)", hint: Self.hint(for: reason))
        }
        return OwnedDescriptor(owning: answer.device)
    }

    /// Takes a mount away at once, whatever is open in it.
    ///
    /// - Throws: class `mount`, with what the program said.
    static func detach(_ path: String) throws(MountError) {
        guard let program else {
            throw MountError(.mount, "cannot unmount: there is no fusermount3", hint: "install the package fuse3")
        }
        let exit: ChildProcess.Exit
        let said: String
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let output = try OwnedDescriptor.pipe()
            let child = try ChildProcess(
                program,
                arguments: ["fusermount3", "-u", "-z", "--", path],
                environment: [],
                descriptors: [(0, nothing.number), (1, output.write.number), (2, output.write.number)]
            )
            exit = try child.wait()
            said = Self.text(of: output)
        } catch { throw MountError.system(.mount, "unmount \(path)", error) }
        guard exit != .status(0) else { return }
        let reason = Self.firstLine(said)
        throw MountError(.mount, "cannot unmount \(path): \(reason)", hint: Self.hint(for: reason))
    }

    /// What was written to a pipe whose writers have ended.
    private static func text(of output: consuming OwnedDescriptor.Pipe) -> String {
        output.ends { (read, write) in
            _ = consume write
            return (try? read.readText(limit: 4096)) ?? ""
        }
    }

    private struct Answer {
        let device: Int32
        let exit: ChildProcess.Exit
    }

    /// Hint for what no look at the host tells: it asks for the name of its user, whom a container may not know, and for the
    /// list of mounts where systems without systemd once kept it.
    private static func hint(for reason: String) -> String? {
        if reason.contains("/etc/mtab") {
            return "it reads /etc/mtab, which is to be a link here: ln -s /proc/self/mounts /etc/mtab"
        }
        guard reason.contains("could not determine username") else { return nil }
        let (user, group) = (ProcessAttributes.effectiveUser, ProcessAttributes.effectiveGroup)
        return "it needs a line in /etc/passwd: ci:x:\(user):\(group)::/:/bin/sh; "
            + "'credfs run' without --shared does without"
    }

    private static func firstLine(_ text: String) -> String {
        let line = text.split(separator: "\n").first ?? "fusermount3 gave no reason"
        let reason = line.hasPrefix("fusermount3: ") ? line.dropFirst("fusermount3: ".count) : line
        // Its advice does not know of containers.
        return String(reason.firstRange(of: ", try '").map { reason[..<$0.lowerBound] } ?? reason)
    }
}
