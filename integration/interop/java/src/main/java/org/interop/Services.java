// SPDX-License-Identifier: Apache-2.0

package org.interop;

import com.google.protobuf.StringValue;

/** The services as this process serves them, by its name, and a group and a version. */
final class Services {
    private Services() {}

    static Object serving(Class<?> type, String by) {
        return type == Proto.class ? new ProtoService(by) : new PlainService(by);
    }

    /** Takes 300 ms if a service is asked to "sleep 300". */
    private static void sleep(String who) {
        if (who.startsWith("sleep ")) {
            try {
                Thread.sleep(Long.parseLong(who.substring("sleep ".length())));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static final class PlainService implements Plain {
        private final String by;

        PlainService(String by) {
            this.by = by;
        }

        @Override
        public String greet(String who) {
            sleep(who);
            return by + " " + who;
        }

        @Override
        public Person older(Person who, int years) {
            return new Person(who.getName(), who.getAge() + years);
        }
    }

    private static final class ProtoService implements Proto {
        private final String by;

        ProtoService(String by) {
            this.by = by;
        }

        @Override
        public StringValue Greet(StringValue who) {
            sleep(who.getValue());
            return StringValue.of(by + " " + who.getValue());
        }
    }
}
