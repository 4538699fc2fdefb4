// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// The process that becomes the editor: it ends with the editing process, even if that is killed, and has no more rights
/// than the user.
package enum EditorEntrance {
    /// The first argument that makes credfs this process.
    package static let mode = "become-editor"
    /// Status where no shell can be run (sh(1)).
    private static let failedStatus: Int32 = 127

    /// The arguments of the process.
    static func arguments(_ request: EditingRequest, _ space: EditingSpace) -> [String] {
        OwnProgram.arguments(mode, [String(ProcessAttributes.processID)]) + request.inherited.words
            + [space.path, request.editor, space.filePath]
    }

    /// The whole life of the process, unless it becomes the editor.
    ///
    /// - Parameter arguments: those of the process.
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 9, let parent = Int32(arguments[2]),
            let inherited = ProcessHardening.Inherited(words: arguments[3..<6])
        else { return failedStatus }
        let (directory, editor, file) = (arguments[6], arguments[7], arguments[8])
        do throws(Errno) {
            // Not SIGKILL: an editor that is asked to end leaves the terminal as it was. Not SIGHUP: nohup(1) ignores it.
            guard try ParentDeath.follow(parent, with: SIGTERM) else { return failedStatus }
            // With it root could write elsewhere after all.
            if ProcessAttributes.hasCapability(.sysAdmin) { try ProcessAttributes.neverAdministrate() }
            try ProcessHardening.restore(inherited, allowsCore: false)
            try OwnedDescriptor.changeWorkingDirectory(to: directory)
        } catch { return failedStatus }
        let command = ["/bin/sh", "-c", script(editor), editor, file]
        _ = Program.exec(command.map { Array($0.utf8) }) { _ in false }
        return failedStatus
    }

    /// As git runs an editor: what the variable says may be a command with arguments.
    ///
    /// A simple one takes the place of the shell, so that its stops and its end are seen as they are.
    private static func script(_ editor: String) -> String {
        let isSimple = !editor.contains { "|&;<>()=`!{\n".contains($0) }
        return "\(isSimple ? "exec " : "")\(editor) \"$@\""
    }
}
