// SPDX-License-Identifier: Apache-2.0

package org.interop;

import java.lang.reflect.Field;
import java.net.InetAddress;
import org.apache.dubbo.common.utils.NetUtils;

/**
 * Has this process be at 127.0.0.1, where the tests look for it. Dubbo refuses to
 * be told so (NetUtils.isInvalidLocalHost), and would take another address of the
 * machine if there is one.
 */
final class Loopback {
    private Loopback() {}

    static void use() throws ReflectiveOperationException, java.io.IOException {
        Field address = NetUtils.class.getDeclaredField("LOCAL_ADDRESS");
        address.setAccessible(true);
        address.set(null, InetAddress.getByAddress(new byte[] {127, 0, 0, 1}));
    }
}
