// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import SystemCalls
import SystemPackage
import Testing

extension MountTests {
    @Suite(.serialized) struct Mounting {
        @Test func errorsAreThoseOfTheKernel() throws {
            let directory = try TemporaryDirectory()
            let file = try directory.write([], to: "file")
            let options = FuseMount.Options(user: 0, group: 0, maximumReadByteCount: 4096)
            let device = try FuseMount.openDevice()
            #expect(
                failure { () throws(Errno) in
                    try FuseMount.mount(device, at: directory.path("missing"), options)
                } == .noSuchFileOrDirectory
            )
            #expect(failure { () throws(Errno) in try FuseMount.mount(device, at: file, options) } == .notDirectory)
            #expect(failure { () throws(Errno) in try FuseMount.detach(directory.path) } == .invalidArgument)
            #expect(
                failure { () throws(Errno) in try FuseMount.detach(directory.path("missing")) }
                    == .noSuchFileOrDirectory
            )
        }

        private func failure(_ body: () throws(Errno) -> Void) -> Errno? {
            do throws(Errno) {
                try body()
                return nil
            } catch { return error }
        }
    }
}
