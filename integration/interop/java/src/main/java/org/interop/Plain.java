// SPDX-License-Identifier: Apache-2.0

package org.interop;

/** A service without an IDL: its arguments are Hessian's, in either protocol. */
public interface Plain {
    /** Answers by whom and as what it was called, and with what. */
    String greet(String who);

    /** Returns somebody who is that many years older. */
    Person older(Person who, int years);
}
