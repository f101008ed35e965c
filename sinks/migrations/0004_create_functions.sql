-- The value that stands for a sketch bin; the same as value_of in streams/sketch.py.
CREATE OR REPLACE FUNCTION rheostat_bin_value {on_cluster} AS (bin) ->
    if(
        bin = 0,
        0.,
        sign(bin) * exp(
            least((abs(bin) - 40000) * log(1.01 / 0.99) + log(2 / (1.01 / 0.99 + 1)), 709.78)
        )
    );

-- The q-quantile of a sketch (merge with sumMap first); NULL when it is empty.
CREATE OR REPLACE FUNCTION rheostat_quantile {on_cluster} AS (sketch, q) ->
    if(
        length(sketch) = 0,
        NULL,
        rheostat_bin_value(
            arrayElement(
                arraySort(mapKeys(sketch)),
                arrayFirstIndex(
                    c -> c > floor(q * (arraySum(mapValues(sketch)) - 1)),
                    arrayCumSum(arrayMap(k -> sketch[k], arraySort(mapKeys(sketch))))
                )
            )
        )
    );

-- Sample variance from sums; NULL below two values, and where subtracting leaves no digits. Equal
-- values are known by their minimum and maximum, since their sums alone cannot tell.
CREATE OR REPLACE FUNCTION rheostat_variance {on_cluster} AS (n, total, total_sq, low, high) ->
    if(
        n < 2,
        NULL,
        if(
            low = high,
            0.,
            if(
                total_sq - total * total / n < 1e-10 * total_sq,
                NULL,
                (total_sq - total * total / n) / (n - 1)
            )
        )
    );
