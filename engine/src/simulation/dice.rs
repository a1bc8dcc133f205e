//! Randomness, from outside: the engine has none of its own.

/// A source of chance. The same rolls give the same course.
pub trait Dice {
    /// Evenly spread from 0 up to, and without, 1.
    fn roll(&mut self) -> f64;

    /// Whether something of this probability happens.
    fn strikes(&mut self, probability: f64) -> bool {
        self.roll() < probability
    }

    /// One of the first `n` numbers, from 0; 0 where there are none.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below n"
    )]
    fn below(&mut self, n: u32) -> u32 {
        let place = self.roll() * f64::from(n);
        (place as u32).min(n.saturating_sub(1))
    }

    /// Lognormal, by median and by the standard deviation of the logarithm.
    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        // Box-Muller; 1 - u is never 0.
        let (one, two) = (self.roll(), self.roll());
        let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        median * (sigma * normal).exp()
    }

    /// Exponential, of mean 1.
    fn exponential(&mut self) -> f64 {
        -(1.0 - self.roll()).ln()
    }

    /// How often something happens that happens `mean` times on average.
    fn poisson(&mut self, mean: f64) -> u32 {
        // Exponential gaps: as many as fit.
        let (mut left, mut n) = (mean - self.exponential(), 0);
        while left > 0.0 {
            n += 1;
            left -= self.exponential();
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear congruential generator: the same on every machine.
    struct Lcg(u64);

    impl Dice for Lcg {
        fn roll(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(self.0 >> 32).unwrap()) / 4_294_967_296.0
        }
    }

    fn mean(dice: &mut Lcg, draw: impl Fn(&mut Lcg) -> f64) -> f64 {
        (0..20_000).map(|_| draw(dice)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn numbers_are_spread_as_they_are_named() {
        let dice = &mut Lcg(7);
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.05;
        assert!(near(mean(dice, |d| f64::from(d.below(10))), 4.5));
        assert!(near(
            mean(dice, |d| f64::from(u8::from(d.strikes(0.2)))),
            0.2
        ));
        assert!(near(mean(dice, Dice::exponential), 1.0));
        assert!(near(mean(dice, |d| f64::from(d.poisson(0.3))), 0.3));
        assert!(near(mean(dice, |d| f64::from(d.poisson(40.0))), 40.0));
        let lognormal = 45.0 * (0.5_f64.powi(2) / 2.0).exp();
        assert!(near(mean(dice, |d| d.lognormal(45.0, 0.5)), lognormal));
        assert!((0..1000).all(|_| dice.below(3) < 3));
        assert_eq!((dice.below(0), dice.poisson(0.0)), (0, 0));
    }
}
