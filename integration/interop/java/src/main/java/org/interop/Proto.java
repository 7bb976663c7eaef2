// SPDX-License-Identifier: Apache-2.0

package org.interop;

import com.google.protobuf.StringValue;

/** A service of protobuf messages: rpc Greet(StringValue) returns (StringValue). */
public interface Proto {
    /** Answers by whom and as what it was called, and with what. */
    StringValue Greet(StringValue who);
}
