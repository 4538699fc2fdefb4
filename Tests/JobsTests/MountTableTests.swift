// SPDX-License-Identifier: Apache-2.0

import Jobs
import Testing

struct MountTableTests {
    @Test func onlyMountsOfOursAreFound() {
        let text = """
            22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
            40 22 0:50 / /run/credfs/1 ro,nosuid - fuse.credfs credfs ro,user_id=1000,group_id=100
            41 22 0:51 / /mnt/a\\040b\\134 ro,nosuid shared:7 master:3 - fuse.credfs credfs ro,user_id=0
            42 22 0:52 / /mnt/other ro - fuse.sshfs credfs rw,user_id=0
            """
        #expect(
            MountTable.parse(text).map { "\($0.path) \($0.user ?? 99)" } == ["/run/credfs/1 1000", "/mnt/a b\\ 0"]
        )
    }

    @Test(arguments: [
        "", "-", "1 2 3 4", "1 2 3 4 /x ro", "1 2 3 4 /x ro -", "1 2 3 4 /x ro - fuse.credfs",
        "1 2 3 4 /x ro - fuse.credfs credfs", "1 2 3 4 /x\\777 ro - fuse.credfs credfs ro", "1 - fuse.credfs a b",
    ])
    func whatIsNoLineOfTheTableIsPassedOver(_ line: String) {
        #expect(MountTable.parse(line).isEmpty)
    }
}
