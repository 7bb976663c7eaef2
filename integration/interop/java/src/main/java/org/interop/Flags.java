// SPDX-License-Identifier: Apache-2.0

package org.interop;

import java.util.ArrayList;
import java.util.List;

/** What a process is told when it starts: name=value, some names more than once. */
final class Flags {
    private final String[] all;

    Flags(String[] all) {
        this.all = all;
    }

    List<String> all(String name) {
        List<String> values = new ArrayList<>();
        for (String flag : all) {
            if (flag.startsWith(name + "=")) {
                values.add(flag.substring(name.length() + 1));
            }
        }
        return values;
    }

    String get(String name) {
        List<String> values = all(name);
        return values.isEmpty() ? null : values.get(0);
    }

    /** Sets the system properties of property=name=value. */
    void setProperties() {
        for (String property : all("property")) {
            int i = property.indexOf('=');
            System.setProperty(property.substring(0, i), property.substring(i + 1));
        }
    }
}
